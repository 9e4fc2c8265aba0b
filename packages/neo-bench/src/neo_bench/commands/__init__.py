"""The commands of neo-bench, a file each."""
