"""What is kept on disk: results, the archive, checkpoints. Only this room writes files of results."""
