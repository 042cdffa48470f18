// main.cpp - wires the roles: client commands, serve, runner, worker.
int main() { return 0; }
