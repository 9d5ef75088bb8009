"""The searchable text of a recording: lines as they were read, and the commands among them."""
