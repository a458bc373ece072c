"""What a source holds, before anything is trained: counted, measured, drawn, on one page."""
