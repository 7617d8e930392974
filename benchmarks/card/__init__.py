"""What one GPU does with all that a CPU does: figures beside the CPU's, speed, memory."""
