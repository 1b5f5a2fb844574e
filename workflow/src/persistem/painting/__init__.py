"""Painting: a local page on which a microscopist paints states on micrographs and gets a map of them.

``folder`` holds what is painted, ``server`` serves the page, and ``engine`` learns from the labels in the process of
``worker``. What the page asks for is an operation (``operations``), which the journal keeps.
"""
