"""Options of a run that is over in a second."""

SMALL_RUN = ["--epochs", "1", "--final-samples", "2", "--engine", "eager", "--encoder.hidden_dims", "[8]"]
