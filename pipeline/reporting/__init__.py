"""What a report shows: the metrics of one or several runs, their pictures, and the page that holds them."""
