mod hostile;
mod samples;
mod shapes;
