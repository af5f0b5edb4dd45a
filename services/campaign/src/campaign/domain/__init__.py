"""Rules of campaigns: catalogue, rule language, live matching, life of a campaign, decisions. No I/O, no clock."""
