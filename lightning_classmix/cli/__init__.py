"""The command line: `classmix`."""
