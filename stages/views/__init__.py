"""A value in, text or pixels out: charts, pages, pictures and annotations."""
