"""The campaign service: catalogue, intake, live matching of events against rules, decisions."""
