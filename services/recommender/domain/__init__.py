"""Pure rules of the recommender: what baskets teach, how it is counted, how it is ranked."""
