mod directory;
mod memory;
