-- What the reservation desk knows about: hosts, their GPUs, people, and who has what when.
create type gpu_state as enum ('available', 'reserved', 'broken');

create domain email as text check (value ~ '^[^@[:space:]]+@[^@[:space:]]+$');
