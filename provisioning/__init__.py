"""The technician's and developer's tool."""
