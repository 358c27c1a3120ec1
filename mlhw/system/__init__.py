"""What touches the operating system: files, signals, streams, the screen, versions, downloads."""
