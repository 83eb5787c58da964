"""Pages of HTML that need nothing else: their frame and style, charts as SVG, and how they are
written. What stands in data is shown as text, never as markup."""
