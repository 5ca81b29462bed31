"""The account side of a device: the Particle cloud, and the rules that decide whether metering has started.

``session.open_cloud()`` gives a ``CloudApi``, which all threads of a process share; it keeps the rate limits for all
processes of the machine. Kinds of things are classes or functions over it:

    ProductDevices(api, product)    members of a product: list, import, approve, remove, groups, lock, …
    AccountDevices(api)             devices claimed by the account; both also ping, call functions, read variables
    Sims(api, product)              SIMs of a product, or of the account without one
    products, tokens                functions that take the api
    records                         what they return: DeviceRecord, SimRecord, Product, ImportResult, …

What adds devices or SIMs to an account or activates SIMs takes Permissions with ``may_bill``.
"""
