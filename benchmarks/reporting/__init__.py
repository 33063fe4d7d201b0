"""What results say: tables on a terminal and in Markdown, plots, README's sections, and the comparison of two runs."""
