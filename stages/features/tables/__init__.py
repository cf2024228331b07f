"""Tables of features that other tools have made, as the features of the videos that they were made of."""
