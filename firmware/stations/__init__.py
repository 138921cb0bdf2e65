"""What a board does in the shop, one file per role: gate, portal, price point.

A station carries events to its policy and the policy's orders to devices, disk, link and display. It takes
no decision of its own.
"""
