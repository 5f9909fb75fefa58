"""The parts of the 12-lead simulator: heart vector, rhythm, morphology, recording, cohort."""
