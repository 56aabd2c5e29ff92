"""Post-processing of label maps, chosen on the validation cases."""
