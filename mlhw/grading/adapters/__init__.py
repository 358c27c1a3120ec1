"""What runs beside somebody's file, and how their conventions are met: loading, calling, presets."""
