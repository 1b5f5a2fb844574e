"""The command line: ``persistem <verb>``."""
