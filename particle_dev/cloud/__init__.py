"""The account side of a device: the Particle cloud, and the rules that decide whether metering has started.

``session.open_cloud()`` gives a ``CloudApi``, which all threads of a process share; it keeps the rate limits for all
processes of the machine. Kinds of things are classes or functions over it:

    ProductDevices(api, product)    members of a product: list, import, approve, remove, groups, lock, …
    AccountDevices(api)             devices claimed by the account; both also ping, call functions, read variables
    Sims(api, product)              SIMs of a product, or of the account without one
    ProductFirmwares(api, product)  versions, uploads, impact of a release, releases
    Integrations(api, …)            webhooks of an account, a product or an organization
    SerialNumbers(api, cache)       Device IDs by serial number, each asked for once
    products, tokens, groups, device_os, diagnostics, usage     functions that take the api
    records                         what they return: DeviceRecord, SimRecord, Product, ImportResult, …

Events: one ``EventHub`` for each product gives those of its source (``SseSource``, ``WebhookSource``,
``PubSubSource``) to all who subscribe by device and by prefix of the name; gaps are items among the events.
``event_access`` refuses devices that a stream does not carry.

What adds devices or SIMs to an account or activates SIMs takes Permissions with ``may_bill``, what makes the cloud
flash takes ``may_update_devices``.
"""
