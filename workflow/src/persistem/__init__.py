"""PersisTEM: which state of matter is this region of my TEM image?"""
