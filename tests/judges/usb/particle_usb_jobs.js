// Does one job with npm's particle-usb: node particle_usb_jobs.js JOB DEVICE_ID [FILE [ADDRESS]]
const fs = require('fs');
const { openDeviceById } = require('particle-usb');

const jobs = {
    async identify(device) {
        await device.getFirmwareModuleInfo();
    },
    async enter_dfu(device) {
        await device.enterDfuMode();
    },
    async flash(device, file, address) {
        await device.writeOverDfu(fs.readFileSync(file), { altSetting: 0, startAddr: Number(address) });
        await device.reset();
    },
    async update(device, file) {
        await device.updateFirmware(fs.readFileSync(file));
    },
};

(async () => {
    const [job, id, ...rest] = process.argv.slice(2);
    const device = await openDeviceById(id);
    await jobs[job](device, ...rest);
    await device.close();
})().catch(error => { console.error(error); process.exit(1); });
