"""One occasion a file: each flow reads as the sentence that the README says."""
