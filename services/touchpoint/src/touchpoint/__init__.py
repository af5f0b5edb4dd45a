"""Touchpoint: where customers are met, how often they may be, and how offers reach partners."""
