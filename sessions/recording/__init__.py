"""The one recorder of all gateways: from what a person saw to what an auditor can prove."""
