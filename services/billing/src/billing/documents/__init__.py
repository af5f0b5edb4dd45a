"""Documents for people: notices and statements laid out in words, as pages to print and as PDF."""
