"""PersisTEM: which state of matter is this region of my TEM image?"""

__version__ = "0.1.0"
