"""What a basket costs and why: lines, discounts, receipt, what a line is worth when it comes back. Pure.

No database, clock, file or thread in here: goods come by a look-up that the caller gives, time is an
argument. Money is integer fen; no sum in here may ever be a float.

``lines``      EPCs to items and lines with their list prices
``window``     when a discount holds: days, weekdays, time of day on the shop's wall clock
``discounts``  the kinds of discount, as plain values
``engine``     the one order in which they are applied
``shares``     rounding, and dividing a sum to the fen
``words``      discounts in English and Chinese
``receipt``    the stored items and cuts as lines that explain themselves
``refund``     what an item is worth now
"""
