"""From a crystal to an end state: molecular dynamics, preparation, own structures, and checks of their state."""
