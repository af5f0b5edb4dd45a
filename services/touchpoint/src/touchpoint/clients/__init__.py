"""Calls that leave the process: to campaign, and to the webhook endpoints of partners."""
