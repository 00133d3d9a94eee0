"""The filter's report. Read `pages`, which writes it, `funnel` and `sampling`, which count and draw, `markdown` and `gallery`."""
