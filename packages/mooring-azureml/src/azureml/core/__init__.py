"""Azure Machine Learning names, served by Mooring."""
