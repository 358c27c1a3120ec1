"""What a class has handed in: folders, archives and downloads, and whose each file is."""
