"""Portal and price point policy: which tags are goods, whose they are, whether that is all. Pure."""
