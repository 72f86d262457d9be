DROP FUNCTION metering_open_page(integer);
DROP TRIGGER api_key_moves_the_version ON metering_apikey;
DROP FUNCTION metering_move_catalogue_version();
DROP SEQUENCE metering_catalogue_version_seq;
