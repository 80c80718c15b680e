alter table public.app_user add last_login date;
