"""From grey levels or atoms to birth–death pairs, persistence images and what lies behind a pair."""
