"""The SSH gateway: plain ssh, scp and sftp in, an ephemeral certificate out."""
