"""Every prediction as a row, captures of features and masked output, and questions asked of them."""
