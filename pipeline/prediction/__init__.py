"""What becomes of a video that is scored: its people's scores, the tables, the pictures and the page."""
