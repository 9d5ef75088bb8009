"""The doors: processes of their own, through which people reach targets on the record."""
