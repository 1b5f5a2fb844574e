"""From grey levels or atoms to birth–death pairs, persistence images, and the regions and volumes behind pairs."""
