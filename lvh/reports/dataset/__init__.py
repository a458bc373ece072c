"""What a data set holds, before anything is trained: measured, counted and drawn on one page."""
