"""The account side of a device; today the rules that decide whether its metering has started."""
