"""The on-call systems that can be asked, one file each."""
