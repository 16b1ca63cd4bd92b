"""The Xet formats: hashes, chunks, xorbs and shards. Bytes in, facts out; no database, no disk."""
